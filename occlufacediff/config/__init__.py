"""The configuration: one file a section, the schema that checks it, the defaults."""
