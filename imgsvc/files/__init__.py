"""Files that stand in other people's folders."""
