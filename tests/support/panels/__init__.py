"""Asks each panel of Grafana's and Kibana's dashboards for its data, as the programs themselves do.

`python -m support.panels` asks those of a running stack; `tidegate verify` checks the rest.
"""
