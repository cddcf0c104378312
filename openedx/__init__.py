"""What is Open edX's own: what the LMS and its neighbours are asked, and the work of a site's operators."""
