"""What predictions say once it is known what their prompts were for: accuracy, confusion, lift."""
