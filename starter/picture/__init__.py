"""What `retire plan show` tells of a plan: its facts, and the ways of drawing them."""
