"""How a repository deploys: to staging, with a person's answer to production, as which role."""
