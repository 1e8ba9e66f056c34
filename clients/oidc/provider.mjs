// A real OIDC provider (oidc-provider, RS256 access tokens) on loopback, with a password grant that checks the password.
//
// OIDC_USERS=name:password:group and OIDC_CLIENT=id:secret say whom it knows. When it listens it prints two lines,
// `issuer=URL` and `token=…`, an access token of the first user. It signs with the package's development keys.
import { createServer } from 'node:http';
import Provider, { errors } from 'oidc-provider';

const [name, password, group] = process.env.OIDC_USERS.split(':');
const [clientId, clientSecret] = process.env.OIDC_CLIENT.split(':');
const users = new Map([[name, { password, groups: [group] }]]);
const audience = 'pintail';
const lifetime = 3600;
const resource = 'urn:pintail';
const server = {
  scope: 'openid read', audience, accessTokenFormat: 'jwt', accessTokenTTL: lifetime, jwt: { sign: { alg: 'RS256' } },
};

function provide(issuer) {
  const provider = new Provider(issuer, {
    clients: [{
      client_id: clientId, client_secret: clientSecret, grant_types: ['password'], redirect_uris: [], response_types: [],
    }],
    features: {
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true, defaultResource: () => resource, useGrantedResource: () => true, getResourceServerInfo: () => server,
      },
    },
    findAccount: async (_context, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    extraTokenClaims: async (_context, token) => ({ groups: users.get(token.accountId)?.groups }),
  });
  provider.registerGrantType('password', async (context) => {
    const asked = context.oidc.params;
    const user = users.get(asked.username);
    if (!user || user.password !== asked.password) throw new errors.InvalidGrant('bad credentials');
    const token = new provider.AccessToken({
      accountId: asked.username, client: context.oidc.client, gty: 'password', scope: 'read', grantId: `grant-${asked.username}`,
    });
    token.resourceServer = new provider.ResourceServer(resource, server);
    context.body = { access_token: await token.save(), token_type: 'Bearer', expires_in: lifetime, scope: 'read' };
  }, ['username', 'password', 'scope']);
  return provider;
}

async function ownToken(issuer) {
  const answer = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${clientId}:${clientSecret}`)}` },
    body: new URLSearchParams({ grant_type: 'password', username: name, password }),
  });
  if (!answer.ok) throw new Error(`the token endpoint answered ${answer.status}: ${await answer.text()}`);
  return (await answer.json()).access_token;
}

// The issuer holds the port, which is known only when it listens.
const http = createServer();
http.listen(0, '127.0.0.1', async () => {
  const issuer = `http://127.0.0.1:${http.address().port}`;
  http.on('request', provide(issuer).callback());
  console.log(`issuer=${issuer}`);
  console.log(`token=${await ownToken(issuer)}`);
});
