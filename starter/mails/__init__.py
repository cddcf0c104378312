"""What mails there are, and a made-up retirement to show them by."""
