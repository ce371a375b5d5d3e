# Stand-in for the image of kcp: laid out as upstream's, which has a static base with busybox, kcp and kubectl,
# the user 65532 and a folder /.kcp that belongs to it. The context has the two programs.
ARG DEBIAN_IMAGE
FROM ${DEBIAN_IMAGE} AS parts
RUN apt-get update \
 && apt-get install -y --no-install-recommends busybox-static ca-certificates
COPY kcp kubectl /parts/
RUN cd /parts \
 && mkdir -p busybox usr/local/bin etc/ssl home/nonroot .kcp \
 && install -d -m 1777 tmp \
 && chown 65532:65532 .kcp home/nonroot \
 && mv kubectl usr/local/bin/ \
 && cp -a /etc/ssl/certs etc/ssl/ \
 && cp /bin/busybox busybox/ \
 && for applet in $(busybox --list); do [ -e busybox/$applet ] || ln -s busybox busybox/$applet; done \
 && printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >etc/passwd \
 && printf 'root:x:0:\nnonroot:x:65532:\n' >etc/group

FROM scratch
COPY --from=parts /parts /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/busybox \
    KUBECONFIG=/etc/kcp/config/admin.kubeconfig
USER 65532:65532
ENTRYPOINT ["/kcp"]
CMD ["start"]
