"""The peers: programs that make the same table, each as its own users would write it."""
