"""How a host or a cluster is told to call drtool: a crontab, systemd units, Kubernetes manifests; nobody else's lines
change."""
