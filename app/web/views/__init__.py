"""What pages show: plain dataclasses made of wire models, without a template, a request or a database."""
