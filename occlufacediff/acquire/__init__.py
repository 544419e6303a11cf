"""Downloads: whose terms apply, where files lie, credentials, resumed transfers, checksums."""
