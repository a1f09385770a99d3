"""Real servers to test against: started on loopback, stopped with the test process."""
