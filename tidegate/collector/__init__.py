"""Delivers event files to a sink with acknowledgements: no event is lost or stored twice."""
