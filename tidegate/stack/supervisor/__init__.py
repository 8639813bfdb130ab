"""The supervisor of local mode, the programs that it runs, and its control socket."""
