"""Retention: the policy, the guards, plans, and removing."""
