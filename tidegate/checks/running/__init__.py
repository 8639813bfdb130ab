"""The checks of `tidegate verify` over the public interfaces of a running stack, one file per component."""
