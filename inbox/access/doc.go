// Package access decides who may use Parley: passwords, second factors, the
// form of credentials, how fast anybody may guess, and which role and scope an
// operation takes.
//
// Credentials (a session's cookie, a program's token, an invitation's link) are
// 256 random bits that name their tenant. They are looked up by their SHA-256
// behind that tenant's walls, and stored nowhere; a hash that is meant to be slow
// would gain nothing against 256 bits.
//
// Every answer to a log-in that fails is the same, and takes the same work,
// whether the tenant, the account, the password or the code was wrong.
package access
