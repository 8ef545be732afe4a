# The reducer of durproj/projections/account.py: `account(EVENTS)` is the state after them, of $key.
def account(events):
  reduce events as {$type, $payload} (
    {
      userId: $key, name: "", email: "", subscription: "none", subscriptionRenewals: 0,
      totalOrders: 0, cancelledOrders: 0, activeOrders: [], shippedOrders: [], eventsProcessed: 0
    };
    .eventsProcessed += 1
    | if $type == "UserRegistered" then .name = $payload.name | .email = $payload.email
      elif $type == "ProfileUpdated" then
        .name = ($payload.name // .name) | .email = ($payload.email // .email)
      elif $type == "SubscriptionActivated" then .subscription = "active"
      elif $type == "SubscriptionRenewed" then .subscriptionRenewals += 1
      elif $type == "OrderPlaced" then .totalOrders += 1 | .activeOrders += [$payload.orderId]
      elif $type == "OrderShipped" then
        .activeOrders -= [$payload.orderId] | .shippedOrders += [$payload.orderId]
      elif $type == "OrderCancelled" then
        .activeOrders -= [$payload.orderId] | .cancelledOrders += 1
      else .eventsProcessed -= 1
      end
  );
