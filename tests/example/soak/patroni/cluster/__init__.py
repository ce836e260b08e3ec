"""The cluster: its programs, nodes, network and servers."""
