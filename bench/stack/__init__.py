"""What a request costs in the whole stack, beside a plain handler and the usual packages."""
