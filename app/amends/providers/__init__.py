"""How gateways speak to other systems."""
