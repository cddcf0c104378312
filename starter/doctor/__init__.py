"""What `retire doctor` looks at: this machine, and Temporal."""
