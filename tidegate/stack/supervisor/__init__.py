"""The supervisor of local mode, the programs that it runs, and the client of its control socket."""
