# Installs Terraform in a build, unless a new enough one is there: this very archive, or none.
# TERRAFORM_URL names another place of it, for networks that do not let builds reach HashiCorp's.
set -euo pipefail

version=1.11.4
sha256=1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc # of the archive for linux_amd64
url="${TERRAFORM_URL:-https://releases.hashicorp.com/terraform/$version/terraform_${version}_linux_amd64.zip}"

if command -v terraform >/dev/null; then
  found="$(terraform version)"
  found="${found%%$'\n'*}" # its first line; a pipe to head would end terraform by a signal
  if [[ "$found" =~ v1\.(1[0-9]|[2-9][0-9])\. ]]; then
    echo "$found is there"
    exit 0
  fi
fi

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
curl --fail --silent --show-error --location --retry 3 --output "$folder/terraform.zip" "$url"
echo "$sha256  $folder/terraform.zip" | sha256sum --check --quiet || {
  echo "$url: expected the archive of Terraform $version for linux_amd64 (SHA-256 $sha256), got another file" >&2
  exit 1
}
python -m zipfile --extract "$folder/terraform.zip" "$folder"
install -m 0755 "$folder/terraform" /usr/local/bin/terraform
terraform version
