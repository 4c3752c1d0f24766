"""What an evaluation leaves: page, parts and comparison make report.html; registry the JSON for machines."""
