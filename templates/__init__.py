"""Mails. A folder a language holds `<mail>.j2` for each of `workflows.names.Mail`, and `words.j2` with what they share.

A mail is written once and rendered thrice: `layout` and `pieces` are those of the subject, the plain text and the html.
"""
