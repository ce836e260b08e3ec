"""What tests are made with: databases, servers, values."""
