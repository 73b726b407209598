"""A person's photos: group them, sort them into folders, ask about them, learn from the answers. Never lose one."""
