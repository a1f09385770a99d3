"""Which snapshots stay: the policy, the guards above it, the plan, and removing what is left."""
