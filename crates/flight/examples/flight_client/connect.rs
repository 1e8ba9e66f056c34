//! Ways to come in.

use crate::check::{Client, Outcome, Target, equal, fails, feature, one_number, query, restart_server};

pub(crate) async fn run(target: &Target) {
    feature("anonymous", async { works(target.open("open").await).await }).await;
    feature("token", async { works(target.with_token("plain", "token").await).await }).await;
    feature("basic", basic(target)).await;
    feature("oidc", async { works(target.with_password("plain", "oidc_user", "oidc_password").await).await })
        .await;
    feature("oidc-token", async { works(target.with_token("plain", "oidc_token").await).await }).await;
    feature("refused", refused(target)).await;
    feature("tls", tls(target)).await;
    feature("mutual-tls", mutual_tls(target)).await;
    feature("restart", restart(target)).await;
}

async fn works(client: Outcome<Client>) -> Outcome<String> {
    let mut client = client?;
    equal(one_number(&query(&mut client, "SELECT 1 AS one").await?)?, 1, "number")?;
    Ok(String::new())
}

async fn basic(target: &Target) -> Outcome<String> {
    works(target.with_password("plain", "user", "password").await).await?;
    // Tools that know only user and password give the token as the password.
    works(target.with_password("plain", "user", "token").await).await
}

async fn refused(target: &Target) -> Outcome<String> {
    fails(works(target.open("plain").await).await, &["credentials"])?;
    // A path is no token and no password.
    fails(works(target.with_token("plain", "ca").await).await, &["credentials"])?;
    fails(works(target.with_password("plain", "user", "ca").await).await, &["credentials"])
}

async fn tls(target: &Target) -> Outcome<String> {
    works(target.with_token("tls", "token").await).await?;
    works(target.with_password("tls", "user", "password").await).await
}

async fn mutual_tls(target: &Target) -> Outcome<String> {
    let token = target.get("token")?.to_owned();
    let mut client = target.open_mutual(true).await?;
    client.set_token(token.clone());
    works(Ok(client)).await?;
    let without = async {
        let mut client = target.open_mutual(false).await?;
        client.set_token(token);
        works(Ok(client)).await
    };
    fails(without.await, &[])
}

async fn restart(target: &Target) -> Outcome<String> {
    let mut client = target.with_password("tls", "user", "password").await?;
    query(&mut client, "SELECT 1 AS one").await?;
    restart_server()?;
    works(Ok(client)).await
}
