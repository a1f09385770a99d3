"""What calls drtool on a host or in a cluster."""
