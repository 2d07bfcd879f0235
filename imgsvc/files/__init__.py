"""What is done with files and folders, whoever they belong to."""
