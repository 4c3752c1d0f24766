# Graphs of the metrics. Which targets and labels there are, and which versions have answered, the metrics themselves
# say: a search draws those that it finds.

locals {
  namespace = "MLOps/Watching"

  # title, what the axis counts, which dimensions and metric a search goes through, the statistic, and a line to stay under
  graphs = [
    { title = "Texts", axis = "texts in an hour", dimensions = "Name,Version", metric = "Texts", statistic = "Sum", stacked = true, limit = null },
    { title = "Labels", axis = "answers in an hour", dimensions = "Name,Version,Target,Label", metric = "Answers", statistic = "Sum", stacked = true, limit = null },
    { title = "Confidence", axis = "mean, of 1", dimensions = "Name,Version,Target", metric = "Confidence", statistic = "Average", stacked = false, limit = null },
    { title = "A person should look at", axis = "answers in an hour", dimensions = "Name,Version,Target", metric = "NeedsReview", statistic = "Sum", stacked = false, limit = null },
    { title = "Length of the texts", axis = "words, mean", dimensions = "Name,Version", metric = "Words", statistic = "Average", stacked = false, limit = null },
    { title = "Words that training did not know", axis = "percent, mean", dimensions = "Name,Version", metric = "UnknownWords", statistic = "Average", stacked = false, limit = null },
    { title = "Drift from the training data", axis = "population stability index beyond chance", dimensions = "Name,Target,Feature", metric = "Drift", statistic = "Maximum", stacked = false, limit = var.settings.drift },
  ]

  widgets = [
    for number, graph in local.graphs : {
      type   = "metric"
      x      = number % 2 * 12
      y      = var.first_row + floor(number / 2) * 6
      width  = 12
      height = 6
      properties = {
        title   = graph.title
        region  = local.region
        view    = "timeSeries"
        stacked = graph.stacked
        period  = 3600
        metrics = [[{
          expression = "SEARCH('{${local.namespace},${graph.dimensions}} Name=\"${local.name}\" MetricName=\"${graph.metric}\"', '${graph.statistic}', 3600)"
          id         = "found"
        }]]
        yAxis       = { left = { min = 0, label = graph.axis, showUnits = false } }
        annotations = { horizontal = graph.limit == null ? [] : [{ label = "alarm", value = graph.limit }] }
      }
    }
  ]
}
