output "configuration" {
  description = "Name of the endpoint configuration in use."
  value       = aws_sagemaker_endpoint.this.endpoint_config_name
}
