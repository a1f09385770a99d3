"""What a host keeps for itself: clock, locks, and small databases under the state directory."""
