// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

extension NBDTests {
  /// TLS with certificates and with keys, as libnbd (GnuTLS) speaks it.
  @Suite struct TLSTests {
    /// An authority, a server's and a client's certificate, and a file of keys.
    private func material(_ rig: DaemonRig) throws {
      let openssl = try Requirement.program("openssl", package: "openssl")
      let script = """
        set -e
        mkdir client; umask 077
        \(openssl) req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=authority -keyout ca-key.pem -out client/ca-cert.pem
        for who in server client; do
          \(openssl) req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout $who-key.pem -out $who.csr
          printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' >ext
          \(openssl) x509 -req -in $who.csr -CA client/ca-cert.pem -CAkey ca-key.pem -CAcreateserial -days 30 \
            -extfile ext -out $who-cert.pem
        done
        cp client-cert.pem client-key.pem client/
        mkdir stranger; cp client/ca-cert.pem stranger/
        printf 'alice:%s\\n' "$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n')" >keys.psk
        printf 'alice:%s\\n' "$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n')" >wrong.psk
        """
      let outcome = try Command.run("/bin/sh", ["-c", script], in: rig.folder.url)
      guard outcome.status == 0 else { throw TestFailure(outcome.errors) }
    }

    private func escaped(_ path: String) -> String {
      path.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? path
    }

    private func copyRoundTrip(_ rig: DaemonRig, _ uri: String) throws {
      let copy = try Requirement.program("nbdcopy", package: "libnbd-bin")
      let script = """
        head -c 9000001 /dev/urandom >image; truncate -s 16M image
        \(copy) image '\(uri)' && \(copy) '\(uri)' back && cmp image back
        """
      let outcome = try Command.run("/bin/sh", ["-c", script], in: rig.folder.url)
      #expect(outcome.status == 0, "\(outcome.output) \(outcome.errors)")
    }

    private func refused(_ rig: DaemonRig, _ uri: String, _ sourceLocation: SourceLocation = #_sourceLocation) throws {
      let info = try Requirement.program("nbdinfo", package: "libnbd-bin")
      let outcome = try Command.run(info, [uri])
      #expect(outcome.status != 0, "\(uri): \(outcome.output)", sourceLocation: sourceLocation)
    }

    @Test(.timeLimit(.minutes(3))) func certificates() throws {
      let rig = try DaemonRig()
      try material(rig)
      try rig.start([
        "--export", "disk=16MiB", "--swap-file", "swap", "--swap-size", "64MiB", "--tls-certificate", "server-cert.pem",
        "--tls-key", "server-key.pem", "--tls-client-authority", "client/ca-cert.pem", "--tls-required", "--discard",
        "--listen", "tcp:127.0.0.1:0",
      ])
      let port = try #require(try rig.status()["listen"] as? [String]).compactMap { $0.split(separator: ":").last }
        .first { Int($0) != nil }
      let uri = "nbds://localhost:\(try #require(port))/disk?tls-certificates="
      try copyRoundTrip(rig, uri + escaped(rig.path("client")))
      // Without a certificate, and without TLS at all.
      try refused(rig, uri + escaped(rig.path("stranger")))
      try refused(rig, rig.uri("disk"))
      try copyRoundTrip(rig, uri + escaped(rig.path("client")))
      #expect(try rig.status()["tls_failures"] as? Int ?? 0 > 0)
      #expect(try rig.end() == 0)
    }

    @Test(.timeLimit(.minutes(3))) func keys() throws {
      let rig = try DaemonRig()
      try material(rig)
      try rig.start([
        "--export", "disk=16MiB", "--export", "secret=16MiB,tls", "--swap-file", "swap", "--swap-size", "64MiB",
        "--tls-psk", "keys.psk", "--discard",
      ])
      let uri = "nbds+unix://alice@/secret?socket=\(rig.socket)&tls-psk-file="
      try copyRoundTrip(rig, uri + escaped(rig.path("keys.psk")))
      try refused(rig, uri + escaped(rig.path("wrong.psk")))
      try refused(rig, rig.uri("secret"))
      try copyRoundTrip(rig, rig.uri("disk"))
      #expect(try rig.end() == 0)
    }
  }
}
