# Somebody is told before it hurts. Budgets lag by hours: they are no brake.

resource "aws_budgets_budget" "month" {
  count        = var.budget == null ? 0 : 1
  name         = "${var.name}-month"
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = format("%.2f", var.budget.limit_usd)
  limit_unit   = "USD"

  dynamic "notification" {
    for_each = [["ACTUAL", 50], ["ACTUAL", 80], ["FORECASTED", 100]]
    iterator = mark
    content {
      comparison_operator        = "GREATER_THAN"
      notification_type          = mark.value[0]
      threshold                  = mark.value[1]
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = var.budget.emails
    }
  }
}
