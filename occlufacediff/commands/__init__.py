"""What the subcommands of `occlufacediff` do: options to calls, progress and messages on the terminal."""
