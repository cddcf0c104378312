"""One file an action type, and what all of them share: the call, the answer and its meaning."""
