"""The control loop of the production code in a world whose clock, network and scheduler are a seed's."""
