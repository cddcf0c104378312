"""Services to retire people from: real HTTP servers with real logins and data, an SMTP server, and the demo."""
