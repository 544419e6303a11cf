"""The embedded data set: speaking heads written as archives in MEAD's layout."""
