"""Mails, by language: `<language>/<mail>/subject.j2`, `text.j2`, `html.j2`, for each of `workflows.names.Mail`."""
