"""The viewer: heads in a web page that the mouse turns, without a network."""
