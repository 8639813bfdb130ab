"""The pages of the console: each is a module here, a template and a script of the same name."""
