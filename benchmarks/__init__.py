"""Every claim of speed, against its floor and its peers, measured alternately in one run."""
