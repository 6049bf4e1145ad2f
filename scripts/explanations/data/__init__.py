"""Images: data sets and how they are obtained, folders and whether they changed, files and their pixels."""
