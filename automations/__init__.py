"""The core of EchoPilot Automations: rules and effects that every face shares and that import none of them."""

__version__ = "0.1.0"
