//! The harness' API server is a real one: its tokens hold, and what it stored survives its restart.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::Api;
use kube::api::PostParams;
use weir_tests::apiserver::ApiServer;
use weir_tests::kubectl;

async fn authenticated(api: &ApiServer, token: &str) -> bool {
    let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec!["weir".to_owned()]) };
    let review = TokenReview { spec, ..Default::default() };
    let reviews: Api<TokenReview> = Api::all(api.admin().await);
    let answer = reviews.create(&PostParams::default(), &review).await.expect("a review is answered");
    answer.status.and_then(|status| status.authenticated).unwrap_or(false)
}

#[tokio::test]
async fn tokens_hold_and_objects_survive_a_restart() {
    let api = ApiServer::start().await;
    api.namespace("team-a").await;
    api.service_account("team-a", "app").await;
    let token = api.token("team-a", "app", "weir", None).await;
    assert!(authenticated(&api, &token).await);
    assert!(authenticated(&api, &api.resign(&token, |_| {})).await, "a token signed anew with the same claims holds");
    assert!(
        !authenticated(&api, &api.resign(&token, |claims| claims["exp"] = 1.into())).await,
        "an expired one does not"
    );
    api.stop();
    assert!(!kubectl::run(&api, &["get", "namespaces"], "").success);
    api.resume().await;
    assert!(kubectl::run(&api, &["get", "serviceaccounts", "-n", "team-a"], "").expect("it answers").contains("app"));
}
