output "widgets" {
  description = "What a dashboard draws of it: four rows of two graphs, from `first_row` on."
  value       = local.widgets
}

output "rows" {
  description = "How many rows of a dashboard the widgets take."
  value       = ceil(length(local.graphs) / 2) * 6
}

output "drift_function" {
  description = "The name of the function that compares."
  value       = aws_lambda_function.this["drift"].function_name
}
