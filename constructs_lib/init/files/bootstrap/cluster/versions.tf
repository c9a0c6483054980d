terraform {
  # 1.11 brought write-only arguments, and values for mocked resources while planning.
  required_version = ">= 1.11"

  required_providers {
    digitalocean = {
      source  = "digitalocean/digitalocean"
      version = "~> 2.71"
    }
    local = {
      source  = "hashicorp/local"
      version = "~> 2.5"
    }
  }
}

# The token comes from the environment variable DIGITALOCEAN_TOKEN.
provider "digitalocean" {}
