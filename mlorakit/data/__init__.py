"""From raw files to a columnar data set: fetching, reading, sampling, splitting, generating."""
